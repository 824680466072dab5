"""The verb `figures`: pages of docs/ with figures, each written by a command.

`page` says what a page is and makes tables; `blocks` fills tables into pages that are otherwise written by hand.
`catalogue` is the table of all pages, `verb` the command. `inspection` is the part of `check` that finds figures which no
command wrote. Every other file is one page.
"""
