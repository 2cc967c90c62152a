"""One short YAML per table or figure of the paper: what varies, seeds, what it reproduces."""
