//! Which characters a person can see: what names may hold, and what reaches the console as it is.

/// Whether a character shows as itself on a line: no control character, nothing that ends a line, is invisible, or
/// changes how what stands beside it is shown.
///
/// Refused are Unicode's categories Cc, Zl and Zp, the annotations, and what has the property
/// Default_Ignorable_Code_Point (Unicode Standard, section 5.21 "Ignoring Characters in Processing").
pub const fn is_visible(character: char) -> bool {
    !matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::is_visible;

    #[test]
    fn letters_of_any_alphabet_are_visible() {
        assert!("a Z~ äß 漢字 Ω\u{a0}\u{301}🦀".chars().all(is_visible));
    }

    #[test]
    fn what_hides_or_turns_text_is_not() {
        let hidden =
            "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{200b}\u{200f}\u{2028}\u{2029}\u{202e}\u{2066}\u{34f}\u{feff}";
        assert!(!hidden.chars().any(is_visible));
    }
}
