"""The names of layouts and conventions, for those who only choose one."""

FRAMEWORKS = ("torch", "keras", "flax")
CANONICAL, MATLAB = "canonical", "matlab"
LAYOUTS = (CANONICAL, *FRAMEWORKS)
CONVENTIONS = (MATLAB, *FRAMEWORKS)
