"""Where voxels are: numpy in, numpy out; DICOM's LPS frame, millimetres, voxel centres."""
