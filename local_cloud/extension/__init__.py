"""What the embedded cloud (``ministack``) lacks, added inside its own process.

Runs under the embedded cloud's interpreter: standard library, ministack, and this package only. Every module
patches one concern, says which behaviour of AWS it copies and where that is written, and has a test that
compares the stock behaviour with ours: when a new ministack makes a patch needless, that test fails.
"""
