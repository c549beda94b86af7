"""From image files and object masks to the network's input: data sets, transforms, geometry."""
