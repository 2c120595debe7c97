"""The limits of a spec. docs/spec.md explains them; benchmarks/large_specs.py measures what a hostile spec costs."""

# Files
MAX_FILE_BYTES = 32 * 2**20
MAX_NODES = 2_000_000  # keys, values and ends of lists and mappings, aliases expanded
MAX_KEYS = 32_768  # of one mapping
MAX_DEPTH = 32  # a group takes two
MAX_NUMBER_LENGTH = 128

# Expressions
MAX_VARIABLES = 1000
MAX_LIST_LENGTH = 4096  # of a variable
MAX_EXPRESSION_LENGTH = 1000
MAX_EXPRESSION_DEPTH = 32
# Numbers, variables, operators and brackets, counted each time that one is read or evaluated.
MAX_TERMS = 5_000_000

# Models
MAX_OPERATIONS = 1_000_000
MAX_DISTINCT_OPERATIONS = 100_000  # written, or made different by a local variable; groups count, too
MAX_DISTINCT_TENSORS = 200_000  # of these operations
MAX_NAME_LENGTH = 256
MAX_DIMENSIONS = 32
MAX_LAYERS = 1000

# Initializers
MAX_VALUES = 65_536  # numbers that are given, or that a formula is evaluated for
MAX_ARANGE = 2**20  # numbers along an axis

# Overrides
MAX_OVERRIDES = 1000
MAX_PATTERN_LENGTH = 100
MAX_COMPARISONS = 5_000_000  # patterns times tensors
SEARCH_COMPARISONS = 20  # the cost of a piece with ? or [] between two *, which can take 20 times as long

# Reports
MAX_DIAGNOSTICS = 1000  # checking stops here
