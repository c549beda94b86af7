"""Training of TensorMask: COCO data, assignment of objects to anchors, losses, solver, and the loop around them."""
