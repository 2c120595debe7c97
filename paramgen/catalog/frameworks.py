"""The names of layouts and conventions, for those who only choose one."""

FRAMEWORKS = ("torch", "keras", "flax")
CANONICAL, MATLAB = "canonical", "matlab"
LAYOUT_NAMES = (CANONICAL, *FRAMEWORKS)
CONVENTION_NAMES = (MATLAB, *FRAMEWORKS)
