"""A run on disk: what names it, where it stands, what it recorded, how it survives a crash."""
