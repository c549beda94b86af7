"""Programs written for the original's release 0.1.2 find its names, with its parameters in its order."""

from __future__ import annotations

import importlib
import inspect
import operator
import re

import numpy as np
import pytest
import torch

import dextr.model
from dextr.data_pipeline.dextr_dataset import DextrDataset, LabelImageTargetDextrDataset

# Module: names with their parameters; of a class those of its constructor, and its methods. Ours may have more, with
# defaults, at the end or by keyword only.
NAMES = {
    "dextr.model": """
        DextrModel(net target_size_yx padding blob_sigma)
        DextrModel.predict(self images object_extreme_points torch_device batch_size num_workers)
        DextrModel.train(self) DextrModel.eval(self) DextrModel.to(self device)
        DextrModel.pascalvoc_resunet101(map_location)
        training_loop(model train_ds_fn val_ds_fn val_truth_ds_fn extreme_range noise_std learning_rate
            pretrained_lr_factor new_lr_factor lr_sched lr_poly_power opt_type sgd_weight_decay aug_hflip aug_rot_range
            batch_size iters_per_epoch num_epochs val_every_n_epochs torch_device num_workers verbose on_epoch_finished)
    """,
    "dextr.architectures.resunet": """
        ResUNet(base_model num_classes) ResUNet.forward(self x)
        dextr_resunet50(num_classes) dextr_resunet101(num_classes)
        DecoderBlock(x_chn_in skip_chn_in chn_out) DecoderBlock.forward(self x_in skip_in)
    """,
    "dextr.architectures.denseunet": """
        DenseUNet(base_model num_classes) DenseUNet.forward(self x) dextr_denseunet161(num_classes)
        DecoderBlock(x_chn_in skip_chn_in chn_out) DecoderBlock.forward(self x_in skip_in)
    """,
    "dextr.architectures.deeplab": "dextr_deeplab3(num_classes)",
    "dextr.data_pipeline.affine": """
        identity_xf(N) inv_nx2x2(X) inv_nx2x3(m) cat_nx2x3_2(a b) cat_nx2x3(x) translation_matrices(xlats_xy)
        scale_matrices(scale_xy) rotation_matrices(thetas) flip_xyd_matrices(flip_flags_xyd image_size)
        centre_xf(xf size) cv_to_torch(mtx dst_size src_size) pil_to_torch(mtx dst_size src_size align_corners)
        transform_points(xf points_xy) transform_vectors(xf vectors_xy)
    """,
    "dextr.data_pipeline.dextr_dataset": """
        DextrDataset(object_meta_path transform load_input progress_fn)
        DextrDataset.get_input_image_pil(self img_i) DextrDataset.get_instance_y_arr(self img_i)
        DextrDataset.get_label_mask(self img_i label_i) DextrDataset.get_label_mask_from_inst_y(inst_y object_i)
        DextrDataset.get_num_labels_in_inst_y(inst_y) DextrDataset.mask_outline(mask)
        LabelImageTargetDextrDataset(input_paths label_image_paths transform obj_meta_path ignore_index load_input
            progress_fn)
        LabelImageTargetDextrDataset.get_input_image_pil(self img_i)
        LabelImageTargetDextrDataset.get_instance_y_arr(self sample_i)
        MaskStackTargetDextrDataset(input_paths mask_stack_paths transform obj_meta_path ignore_index load_input
            progress_fn)
        MaskStackTargetDextrDataset.get_input_image_pil(self img_i)
        MaskStackTargetDextrDataset.get_instance_y_arr(self sample_i)
    """,
    "dextr.data_pipeline.dextr_transforms": """
        DextrTrainingTransform(target_size_yx padding extreme_range noise_std blob_sigma hflip rot_range
            fix_box_to_extreme rng)
        DextrFindExtremesTransform(target_size_yx extreme_range rng)
        DextrCropWithHeatmapTransform(target_size_yx padding blob_sigma keep_original_mask)
        crop_with_heatmap(input_image target_mask target_size_yx padding extreme_points blob_sigma)
        DextrToTensor() DextrNormalize(mean std) paste_mask_into_image(image_size mask_arr target_crop)
    """,
    "dextr.data_pipeline.pascal_voc_dataset": """
        PascalVOCDataset(split transform load_input progress_fn) PascalVOCDataset.get_instance_y_arr(self sample_i)
    """,
    "dextr.lr_schedules": """
        PolynomialLR(optimizer T_max power eta_min last_epoch)
        make_lr_scheduler(optimizer total_iters schedule_type poly_power)
    """,
    "dextr.repeat_sampler": "RepeatSampler(sampler repeats)",
}
DECLARED = [
    (module, name, parameters.split())
    for module, text in NAMES.items()
    for name, parameters in re.findall(r"([\w.]+)\(([^)]*)\)", text)
]


@pytest.mark.parametrize(("module", "name", "parameters"), DECLARED, ids=str)
def test_names_and_parameters_of_the_original(module, name, parameters):
    found = inspect.signature(operator.attrgetter(name)(importlib.import_module(module))).parameters
    assert list(found)[: len(parameters)] == parameters
    for added in list(found.values())[len(parameters) :]:
        assert added.default is not added.empty or added.kind in (added.VAR_POSITIONAL, added.VAR_KEYWORD)


def test_attributes_of_the_original():
    assert dextr.model.DextrModel.URL_PASCALVOC_RESUNET101.endswith("/dextr_pascalvoc_resunet101-a2d81727.pth")
    assert DextrDataset.IGNORE_INDEX is None
    assert isinstance(DextrDataset.num_images, property)


def test_modules_of_architectures_are_not_hidden():
    from dextr.architectures import deeplab, denseunet, resunet

    assert [inspect.ismodule(one) for one in (deeplab, denseunet, resunet)] == [True] * 3
    with torch.device("meta"):
        assert resunet.dextr_resunet50(backbone_weights=None).blocks == (3, 4, 6, 3)


def test_labels_are_counted_by_the_class_as_by_an_instance():
    class Ignoring(LabelImageTargetDextrDataset):
        IGNORE_INDEX = 255

    labels = np.array([[0, 3, 255]])
    assert DextrDataset.get_num_labels_in_inst_y(labels) == 255
    assert Ignoring.get_num_labels_in_inst_y(labels) == 3
    assert LabelImageTargetDextrDataset([], [], ignore_index=255).get_num_labels_in_inst_y(labels) == 3
    assert DextrDataset.get_num_labels_in_inst_y(np.zeros((1, 3, 7))) == 7


def test_the_package_describes_what_is_there():
    listed = re.findall(r"^\* `([\w.]+)\(|; *\n? +`([\w.]+)\(", dextr.__doc__, re.MULTILINE)
    paths = ["".join(pair) for pair in listed]
    assert len(paths) > 8
    for path in paths:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(f"dextr.{module}"), name)), path
