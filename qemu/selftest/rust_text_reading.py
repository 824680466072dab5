"""Reading Rust's text."""

from __future__ import annotations

import unittest

from .. import rust_text


CODE = '''
fn short<'a>(x: &'a str) -> char { '{' } // unsafe {
/* outer /* unsafe */ still a comment { */
fn declared(&self);
fn long() {
    let text = "fn not_one() { unsafe";
    let raw = r#"a " quote {"#;
}
'''


class RustText(unittest.TestCase):
    """Comments and literals never count as code."""

    def test_code_only_keeps_lines_and_drops_texts(self):
        code = rust_text.code_only(CODE)
        self.assertEqual(code.count("\n"), CODE.count("\n"))
        self.assertNotIn("unsafe", code)
        self.assertIn("fn long()", code)
