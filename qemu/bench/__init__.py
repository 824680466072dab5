"""The verb `bench`: benchmarks, what they give, and what that is compared with.

`catalogue` reads from the sources which benchmarks there are, `protocol` what a machine prints, `arithmetic` makes
figures of samples. `running` boots, `results` is the document that comes of it, `table` shows it. `budgets`, `compare`
and `baseline` are what it is held against; `verb` is the command. `following` and `stretches` look on while benchmarks run.
"""
