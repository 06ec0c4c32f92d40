"""What Lambda stands on: the pinned runtime layer, pruned, with bytecode, inside a budget.

Standard library only: a layer is built before anything else is installed. ``build`` makes a layer,
``lock`` renews the pins it is made from, ``facts`` says what was made.
"""
