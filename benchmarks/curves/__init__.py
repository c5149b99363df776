"""The accuracy of the onsets, tempo and beats of curves."""
