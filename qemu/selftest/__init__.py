"""What x.py itself must get right; `./x.py check` runs it. One file for each part."""
