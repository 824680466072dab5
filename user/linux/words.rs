//! The words of a command line, quoted as for a shell.

use alloc::string::String;
use alloc::vec::Vec;

/// Splits a line at blanks. Between single quotes everything is taken as it is; between double quotes too, but that a backslash
/// there, and outside of quotes, takes the next character.
///
/// `None` if a quote is not closed, or a backslash is the last character.
pub fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), None);
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_with(String::new);
            }
            (Some(open), close) if open == close => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_with(String::new).push(characters.next()?),
            _ => word.get_or_insert_with(String::new).push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    fn words(line: &str) -> Vec<String> {
        split(line).expect("the line is whole")
    }

    #[test]
    fn blanks_part_words() {
        assert_eq!(words("  busybox echo\thello "), ["busybox", "echo", "hello"]);
        assert_eq!(words(" "), [""; 0]);
    }

    #[test]
    fn quotes_keep_blanks_and_each_other() {
        assert_eq!(words(r#"awk 'BEGIN { print "x" }' "a 'b'""#), ["awk", r#"BEGIN { print "x" }"#, "a 'b'"]);
        assert_eq!(words(r#"'it'"'"'s' '' a\ b "\"" "#), ["it's", "", "a b", "\""]);
        assert_eq!(words(r"'\'"), [r"\"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert_eq!([split("'a"), split("a\""), split("a\\")], [None, None, None]);
    }
}
