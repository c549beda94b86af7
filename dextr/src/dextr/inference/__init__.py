"""From an image and its extreme points to a mask."""
