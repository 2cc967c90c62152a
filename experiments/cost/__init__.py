"""What runs cost before they are run: tokens, the work of a step, and how long machines take for it."""
