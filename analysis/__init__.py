"""What the runs on disk say: frames, tables, figures, orderings and the report folder."""
