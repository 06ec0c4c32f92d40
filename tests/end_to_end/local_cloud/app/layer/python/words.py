punctuation = "!"
