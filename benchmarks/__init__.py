"""Speed and memory, ours and peers', as ratios measured in one run."""
