"""What the subcommands of `prefix-rft` do, one file each, without the parsing of their arguments."""
