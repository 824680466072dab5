"""The parts of x.py. README.md in this folder says what each file is for."""
