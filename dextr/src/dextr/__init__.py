"""DEXTR: masks of objects from their extreme points (Maninis et al., "Deep Extreme Cut", CVPR 2018).

`dextr.model.DextrModel` is the entry point: `DextrModel.from_file(path).predict(images, extreme_points)`. The steps
behind it are plain functions over arrays, used by inference and training alike; vectors are [y, x], in pixels, and a
crop is the (2, 2) float64 array [[y0, x0], [y1, x1]] of continuous coordinates, which may reach beyond the image:

* `inference.crop.extreme_points(points)` checks them: any sequence, array or tensor of K rows [y, x] -> (K, 2) float64;
  `inference.crop.crop_box(points, target_size_yx, padding)` -> crop;
  `inference.crop.crop_image(image, crop_yx, target_size_yx)` -> uint8 (h, w, 3), R G B;
  `inference.crop.points_in_crop(points, crop_yx, target_size_yx)` -> (K, 2) float64;
* `inference.heatmap.gaussian_heatmap(points_in_crop, size_yx, sigma, combine="sum" or "max")` -> float32 (h, w);
* `inference.network_input.normalise(crop_u8, heatmap)` -> float32 tensor (4, h, w);
* `inference.paste.paste_patch(mask_u8, crop_yx, image_hw)` -> `Patch` (the pasted region and its place),
  `Patch.in_image(image_hw)` -> uint8 (H, W);
* `inference.prediction.evaluating(net)`: context manager, evaluation mode inside;
* `architectures.build(name, num_classes=1, backbone_weights=None)` -> net; names in `architectures.NAMES`.

Where to look: `inference` from an image to a mask, `architectures` the nets, `checkpoint_files` the readers of model
files, `data_pipeline` data sets and transforms, `train` the training and its command, `acceleration` faster copies of
nets. `model`, `lr_schedules`, `repeat_sampler` and `data_pipeline.dextr_dataset`, `.dextr_transforms`, `.affine`,
`.pascal_voc_dataset` have the names of the original's release 0.1.2.
"""

__version__ = "0.1.0"
