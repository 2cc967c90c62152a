"""Evaluation: samples of a policy, their verdicts, and scores that carry protocol and uncertainty."""
