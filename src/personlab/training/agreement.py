"""Whether the parts of a task fit together, told before a training begins and not at its first validation."""

from __future__ import annotations

from personlab.decoding import PaperDecoder
from personlab.encoding import Encoder
from personlab.errors import InputError
from personlab.network import PersonLab
from personlab.skeleton import Skeleton


def check_parts(network: PersonLab, encoder: Encoder, decoder: PaperDecoder, eval_stride: int) -> None:
    """Refuse parts that do not fit.

    Args:
        network: Tried at the evaluation stride and left at its own.
        encoder: Must draw the disks, and have the keypoints, of the network.
        decoder: Must have the keypoints of the network.
        eval_stride: Output stride at evaluation.

    Raises:
        InputError: If something does not fit.
    """
    if encoder.disk_radius_px != network.disk_radius_px:
        raise InputError(
            f"model.encoder.disk_radius_px {encoder.disk_radius_px} and model.network.init_args.disk_radius_px "
            f"{network.disk_radius_px} must be the same: the network learns the disks that the encoder draws"
        )
    check_skeleton(network.skeleton, encoder.skeleton, "model.encoder.skeleton")
    check_skeleton(network.skeleton, decoder.skeleton, "model.decoder.skeleton")
    trained_stride = network.output_stride
    try:
        network.set_output_stride(eval_stride)
    except InputError as error:
        raise InputError(f"model.eval_stride: {error}") from error
    network.set_output_stride(trained_stride)


def check_skeleton(network: Skeleton, other: Skeleton, where: str) -> None:
    """Refuse a skeleton, named by its place in the config, that is not the network's.

    Raises:
        InputError: If they differ.
    """
    if other != network:
        raise InputError(
            f"{where} {other.name} ({other.num_keypoints} keypoints) and the network's {network.name} "
            f"({network.num_keypoints}) differ; give all parts of the model and the data the same skeleton"
        )
