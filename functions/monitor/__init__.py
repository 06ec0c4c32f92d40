"""Once an hour: compare what was captured of every model with what its versions were trained on."""
