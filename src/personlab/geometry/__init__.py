"""The only place for pixel <-> cell, bilinear reading and splatting, disks and affine matrices."""
