"""Speed, as ratios against named peers, side by side in one run. Nothing here is a test."""
