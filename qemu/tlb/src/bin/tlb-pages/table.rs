//! Tables in Markdown.

/// A table whose first column is `head[0]`; all cells are set to the right.
pub(crate) fn markdown(head: &[String], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---:|".repeat(head.len()));
    line(head) + &rule + &rows.iter().map(|row| line(row)).collect::<String>()
}

/// A table of numbers by two quantities: a row for each of `rows`, a column for each of `columns`.
pub(crate) fn grid(corner: &str, rows: &[u64], columns: &[u64], cell: impl Fn(u64, u64) -> String) -> String {
    let head: Vec<String> = std::iter::once(corner.to_string()).chain(columns.iter().map(|&c| number(c))).collect();
    let row =
        |&row: &u64| std::iter::once(number(row)).chain(columns.iter().map(|&column| cell(row, column))).collect();
    markdown(&head, &rows.iter().map(row).collect::<Vec<Vec<String>>>())
}

/// A number with a comma at each thousand.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A mean in whole numbers or, if it is none, with one decimal.
pub(crate) fn mean(sum: u64, count: u64) -> String {
    let tenths = (sum * 10 + count / 2) / count;
    if tenths.is_multiple_of(10) { number(tenths / 10) } else { format!("{}.{}", number(tenths / 10), tenths % 10) }
}

/// A signed number.
pub(crate) fn signed(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    sign.to_string() + &number(value.unsigned_abs())
}
