"""Lambda itself, and the fake that obeys the same laws."""
