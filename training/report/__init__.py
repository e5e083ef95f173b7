"""What runs came to: recall with intervals, paired comparison, curves, nearest neighbours; one HTML file."""
