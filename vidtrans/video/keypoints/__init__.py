"""Keypoints of people as a clip: files of OpenPose, MediaPipe and others are read, tracked and drawn."""
