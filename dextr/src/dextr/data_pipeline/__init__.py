"""What happens to an image and its object masks before they reach the network: data sets, transforms, geometry."""
