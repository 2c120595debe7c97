"""The names of layouts and conventions, for those who only choose one."""

FRAMEWORKS = ("torch", "keras", "flax")
CANONICAL, MATHWORKS = "canonical", "matlab"
LAYOUT_NAMES = (CANONICAL, *FRAMEWORKS)
CONVENTION_NAMES = (MATHWORKS, *FRAMEWORKS)
