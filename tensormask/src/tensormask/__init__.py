"""TensorMask (Chen et al., ICCV 2019): dense instance segmentation with 4D tensors, in plain PyTorch."""
