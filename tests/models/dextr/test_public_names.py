"""Programs written for the original's release 0.1.2 find its names, with its parameters in its order."""

from __future__ import annotations

import importlib
import inspect
import operator
import re

import numpy as np
import pytest
import torch
from PIL import Image

import dextr.model
from dextr.architectures import denseunet, resunet
from dextr.data_pipeline import dextr_transforms, pascal_voc_dataset
from dextr.data_pipeline.dextr_dataset import DextrDataset, LabelImageTargetDextrDataset

# Module: names with their parameters and defaults; of a class those of its constructor, and its methods. Ours may have
# more, with defaults, at the end or by keyword only.
NAMES = {
    "dextr.model": """
        DextrModel(net, target_size_yx, padding, blob_sigma)
        DextrModel.predict(self, images, object_extreme_points, torch_device=None, batch_size=4, num_workers=0)
        DextrModel.train(self)
        DextrModel.eval(self)
        DextrModel.to(self, device)
        DextrModel.pascalvoc_resunet101(map_location="cpu")
        training_loop(model, train_ds_fn, val_ds_fn, val_truth_ds_fn, extreme_range, noise_std, learning_rate, \
            pretrained_lr_factor, new_lr_factor, lr_sched, lr_poly_power, opt_type, sgd_weight_decay, aug_hflip, \
            aug_rot_range, batch_size, iters_per_epoch, num_epochs, val_every_n_epochs, torch_device, num_workers, \
            verbose, on_epoch_finished=None)
    """,
    "dextr.architectures.resunet": """
        ResUNet(base_model, num_classes)
        ResUNet.forward(self, x)
        dextr_resunet50(num_classes=1)
        dextr_resunet101(num_classes=1)
        DecoderBlock(x_chn_in, skip_chn_in, chn_out)
        DecoderBlock.forward(self, x_in, skip_in)
    """,
    "dextr.architectures.denseunet": """
        DenseUNet(base_model, num_classes)
        DenseUNet.forward(self, x)
        dextr_denseunet161(num_classes=1)
        DecoderBlock(x_chn_in, skip_chn_in, chn_out)
        DecoderBlock.forward(self, x_in, skip_in)
    """,
    "dextr.architectures.deeplab": "dextr_deeplab3(num_classes=1)",
    "dextr.data_pipeline.affine": """
        identity_xf(N)
        inv_nx2x2(X)
        inv_nx2x3(m)
        cat_nx2x3_2(a, b)
        cat_nx2x3(*x)
        translation_matrices(xlats_xy)
        scale_matrices(scale_xy)
        rotation_matrices(thetas)
        flip_xyd_matrices(flip_flags_xyd, image_size)
        centre_xf(xf, size)
        cv_to_torch(mtx, dst_size, src_size=None)
        pil_to_torch(mtx, dst_size, src_size=None, align_corners=True)
        transform_points(xf, points_xy)
        transform_vectors(xf, vectors_xy)
    """,
    "dextr.data_pipeline.dextr_dataset": """
        DextrDataset(object_meta_path, transform, load_input=True, progress_fn=None)
        DextrDataset.__len__(self)
        DextrDataset.__getitem__(self, item)
        DextrDataset.get_input_image_pil(self, img_i)
        DextrDataset.get_instance_y_arr(self, img_i)
        DextrDataset.get_label_mask(self, img_i, label_i)
        DextrDataset.get_label_mask_from_inst_y(inst_y, object_i)
        DextrDataset.get_num_labels_in_inst_y(inst_y)
        DextrDataset.mask_outline(mask)
        LabelImageTargetDextrDataset(input_paths, label_image_paths, transform=None, obj_meta_path=None, \
            ignore_index=None, load_input=True, progress_fn=None)
        LabelImageTargetDextrDataset.get_input_image_pil(self, img_i)
        LabelImageTargetDextrDataset.get_instance_y_arr(self, sample_i)
        MaskStackTargetDextrDataset(input_paths, mask_stack_paths, transform=None, obj_meta_path=None, \
            ignore_index=None, load_input=True, progress_fn=None)
        MaskStackTargetDextrDataset.get_input_image_pil(self, img_i)
        MaskStackTargetDextrDataset.get_instance_y_arr(self, sample_i)
    """,
    "dextr.data_pipeline.dextr_transforms": """
        DextrTrainingTransform(target_size_yx, padding, extreme_range, noise_std=1.0, blob_sigma=10.0, hflip=True, \
            rot_range=0.3490658503988659, fix_box_to_extreme=True, rng=None)
        DextrTrainingTransform.__call__(self, sample)
        DextrFindExtremesTransform(target_size_yx, extreme_range, rng=None)
        DextrFindExtremesTransform.__call__(self, sample)
        DextrCropWithHeatmapTransform(target_size_yx, padding, blob_sigma=10.0, keep_original_mask=False)
        DextrCropWithHeatmapTransform.__call__(self, sample)
        crop_with_heatmap(input_image, target_mask, target_size_yx, padding, extreme_points, blob_sigma)
        DextrToTensor()
        DextrToTensor.__call__(self, sample)
        DextrNormalize(mean=None, std=None)
        DextrNormalize.__call__(self, sample)
        paste_mask_into_image(image_size, mask_arr, target_crop)
    """,
    "dextr.data_pipeline.pascal_voc_dataset": """
        PascalVOCDataset(split, transform, load_input=True, progress_fn=None)
        PascalVOCDataset.get_input_image_pil(self, img_i)
        PascalVOCDataset.get_instance_y_arr(self, sample_i)
    """,
    "dextr.lr_schedules": """
        PolynomialLR(optimizer, T_max, power=0.9, eta_min=0.0, last_epoch=-1)
        PolynomialLR.get_lr(self)
        make_lr_scheduler(optimizer, total_iters, schedule_type, poly_power=0.9)
    """,
    "dextr.repeat_sampler": """
        RepeatSampler(sampler, repeats=-1)
        RepeatSampler.__iter__(self)
        RepeatSampler.__len__(self)
    """,
}
DECLARED = [
    (module, name, parameters)
    for module, text in NAMES.items()
    for name, parameters in re.findall(r"^\s*([\w.]+)\((.*)\)$", text, re.MULTILINE)
]


@pytest.mark.parametrize(("module", "name", "parameters"), DECLARED, ids=str)
def test_names_and_parameters_of_the_original(module, name, parameters):
    found = inspect.signature(operator.attrgetter(name)(importlib.import_module(module))).parameters.values()
    original = [one.strip() for one in parameters.split(",") if one.strip()]
    shown = [str(one.replace(annotation=one.empty)) for one in found]
    assert shown[: len(original)] == [str(next(iter(signature(one)))) for one in original]
    for added in list(found)[len(original) :]:
        assert added.default is not added.empty or added.kind in (added.VAR_POSITIONAL, added.VAR_KEYWORD)


def signature(parameters):
    """The parameters of a function that is declared like this."""
    namespace = {}
    exec(f"def declared({parameters}): ...", namespace)
    return inspect.signature(namespace["declared"]).parameters.values()


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_imported_from_their_packages(name):
    """As `from dextr.architectures import resunet`, in the original's own programs; nothing of this name hides them."""
    package, _, module = name.rpartition(".")
    namespace = {}
    exec(f"from {package} import {module}", namespace)
    assert namespace[module] is importlib.import_module(name)
    names = {one.partition(".")[0] for owner, one, _ in DECLARED if owner == name}
    exec(f"from {name} import {', '.join(names)}", namespace)
    assert all(callable(namespace[one]) for one in names)


CLASSES = sorted({(m, n) for m, n, _ in DECLARED if n[0].isupper() and "." not in n})


@pytest.mark.parametrize(("module", "name"), CLASSES)
def test_classes_belong_to_their_public_modules(module, name):
    """A pickle names the module and the class; so what is pickled today is found wherever the class moves to."""
    found = getattr(importlib.import_module(module), name)
    assert found.__module__ == ("dextr.architectures.blocks" if name == "DecoderBlock" else module)
    assert getattr(importlib.import_module(found.__module__), name) is found


def test_attributes_of_the_original():
    assert dextr.model.DextrModel.URL_PASCALVOC_RESUNET101.endswith("/dextr_pascalvoc_resunet101-a2d81727.pth")
    assert DextrDataset.IGNORE_INDEX is None
    assert isinstance(DextrDataset.num_images, property)


def test_kinds_of_the_original():
    voc = pascal_voc_dataset.PascalVOCDataset
    assert issubclass(voc, DextrDataset)
    assert issubclass(DextrDataset, torch.utils.data.Dataset)
    assert voc.IGNORE_INDEX == 255
    for net in (resunet.ResUNet, denseunet.DenseUNet):
        assert issubclass(net, torch.nn.Module)
        assert net.BLOCK_SIZE == (32, 32)
    for transform in (dextr_transforms.DextrTrainingTransform, dextr_transforms.DextrFindExtremesTransform):
        assert isinstance(transform.rng, property)


def test_labels_are_counted_by_the_class_as_by_an_instance():
    class Ignoring(LabelImageTargetDextrDataset):
        IGNORE_INDEX = 255

    labels = np.array([[0, 3, 255]])
    assert DextrDataset.get_num_labels_in_inst_y(labels) == 255
    assert Ignoring.get_num_labels_in_inst_y(labels) == 3
    assert LabelImageTargetDextrDataset([], [], ignore_index=255).get_num_labels_in_inst_y(labels) == 3
    assert DextrDataset.get_num_labels_in_inst_y(np.zeros((1, 3, 7))) == 7


def test_a_dataset_of_a_user_with_its_own_way_of_taking_labels_apart():
    class Tens(DextrDataset):
        """Label n is the numbers from 10 n to 10 n + 9; those from 30 on count for nothing."""

        num_images = 1

        def get_input_image_pil(self, img_i):
            return Image.new("RGB", (6, 4))

        def get_instance_y_arr(self, img_i):
            return np.repeat(np.array([[10, 19, 21, 0, 0, 35]]), 4, axis=0)

        @classmethod
        def get_num_labels_in_inst_y(cls, inst_y):
            return min(super().get_num_labels_in_inst_y(inst_y) // 10, 2)

        @staticmethod
        def get_label_mask_from_inst_y(inst_y, object_i):
            return inst_y // 10 == object_i + 1

    dataset = Tens(None, None)
    assert dataset.obj_meta_indices.tolist() == [[0, 0, -1], [0, 1, -1]]
    assert [np.asarray(sample["target_mask"]).any(axis=0).sum() for sample in dataset] == [2, 1]


def test_the_package_describes_what_is_there():
    listed = re.findall(r"^\* `([\w.]+)\(|; *\n? +`([\w.]+)\(", dextr.__doc__, re.MULTILINE)
    paths = ["".join(pair) for pair in listed]
    assert len(paths) > 8
    for path in paths:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(f"dextr.{module}"), name)), path
