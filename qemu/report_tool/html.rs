//! HTML: text that is escaped, and tables that can be read aloud.

/// A text as HTML shows it, in elements and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // No document of HTML may hold these.
            other if other.is_control() && other != '\n' && other != '\t' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}

/// A paragraph; nothing of an empty text.
pub(crate) fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"{class}\">{}</p>\n", escaped(text)) }
}

/// One cell of a table.
pub(crate) enum Cell {
    /// A text, at the left.
    Text(String),
    /// A number, at the right.
    Number(String),
    /// A text that is a complaint.
    Bad(String),
    /// What names the row.
    Head(String),
}

/// What names a row.
pub(crate) fn head(text: impl Into<String>) -> Cell {
    Cell::Head(text.into())
}

/// A text, at the left.
pub(crate) fn words(text: impl Into<String>) -> Cell {
    Cell::Text(text.into())
}

/// A number, at the right.
pub(crate) fn number(text: impl Into<String>) -> Cell {
    Cell::Number(text.into())
}

/// A table, written row by row.
pub(crate) struct Table {
    id: String,
    columns: usize,
    html: String,
    has_group: bool,
}

impl Table {
    /// A table with a caption and the names of its columns; the first `left` of them are those of texts.
    pub(crate) fn new(id: &str, caption: &str, columns: &[&str], left: usize) -> Table {
        let caption = escaped(caption);
        let mut html = format!("<div class=\"wide\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\n");
        html += &format!("<table>\n<caption id=\"{id}\">{caption}</caption>\n<thead>\n<tr>");
        for (index, column) in columns.iter().enumerate() {
            let class = if index < left { "" } else { " class=\"number\"" };
            html += &format!("<th scope=\"col\"{class}>{}</th>", escaped(column));
        }
        html += "</tr>\n</thead>\n";
        Table { id: id.to_string(), columns: columns.len(), html, has_group: false }
    }

    /// Begins a group of rows with a head of its own, `inner` being HTML.
    pub(crate) fn group(&mut self, name: &str, inner: &str) {
        self.end_group();
        let id = format!("{}-{name}", self.id);
        self.html += "<tbody>\n";
        self.has_group = true;
        let columns = self.columns;
        self.html += &format!(
            "<tr><th scope=\"rowgroup\" colspan=\"{columns}\" id=\"{id}\" class=\"group\">{inner}</th></tr>\n"
        );
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: &[Cell]) {
        if !self.has_group {
            self.html += "<tbody>\n";
            self.has_group = true;
        }
        self.html += "<tr>";
        for cell in cells {
            self.html += &match cell {
                Cell::Text(text) => format!("<td>{}</td>", escaped(text)),
                Cell::Number(text) => format!("<td class=\"number\">{}</td>", escaped(text)),
                Cell::Bad(text) => format!("<td class=\"bad\">{}</td>", escaped(text)),
                Cell::Head(text) => format!("<th scope=\"row\">{}</th>", escaped(text)),
            };
        }
        self.html += "</tr>\n";
    }

    /// The whole table.
    pub(crate) fn html(mut self) -> String {
        self.end_group();
        self.html + "</table>\n</div>\n"
    }

    fn end_group(&mut self) {
        if self.has_group {
            self.html += "</tbody>\n";
        }
        self.has_group = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, escaped, head, number, words};

    #[test]
    fn what_html_gives_a_meaning_is_escaped() {
        assert_eq!(escaped("a<b & \"c\"'d'>"), "a&lt;b &amp; &quot;c&quot;&#39;d&#39;&gt;");
        assert_eq!(escaped("\u{1b}[1m\0ü\n"), "\u{FFFD}[1m\u{FFFD}ü\n");
    }

    #[test]
    fn tables_name_their_rows_and_columns() {
        let mut table = Table::new("t", "a & b", &["name", "n"], 1);
        table.row(&[head("<x>"), number("1")]);
        table.group("y", "<code>y</code>");
        table.row(&[words("z"), number("2")]);
        let html = table.html();
        for part in [
            "<caption id=\"t\">a &amp; b</caption>",
            "<th scope=\"col\">name</th>",
            "class=\"number\">n</th>",
            "<th scope=\"row\">&lt;x&gt;</th>",
            "scope=\"rowgroup\" colspan=\"2\"",
            "id=\"t-y\"",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert_eq!(html.matches("<tbody>").count(), 2);
        assert_eq!(html.matches("</tbody>").count(), 2);
    }
}
