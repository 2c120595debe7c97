"""The limits of a spec. docs/spec.md explains them; benchmarks/large_specs.py measures what a hostile spec costs."""

# Files
MAX_FILE_BYTES = 32 * 2**20
MAX_NODES = 2_000_000  # keys, values, and ends of lists and mappings, after aliases are expanded
MAX_KEYS = 32_768  # per mapping
MAX_DEPTH = 32  # nested lists and mappings; a group takes two
MAX_NUMBER_LENGTH = 128

# Expressions
MAX_VARIABLES = 1000
MAX_LIST_LENGTH = 4096  # per variable
MAX_EXPRESSION_LENGTH = 1000
MAX_EXPRESSION_DEPTH = 32
MAX_TERMS = 5_000_000  # numbers, variables, operators, brackets and entries of lists, parsed and evaluated, in total
MAX_FILES_CHARACTERS = 2**24  # that expressions give in `files`: a long variable can be used often

# Models
MAX_OPERATIONS = 1_000_000
MAX_DISTINCT_OPERATIONS = 100_000  # distinct after evaluation; groups count
MAX_DISTINCT_TENSORS = 200_000  # of the distinct operations
MAX_NAME_LENGTH = 256
MAX_DIMENSIONS = 32
MAX_LAYERS = 1000

# Initializers
MAX_VALUES = 65_536  # numbers listed, or computed by a formula
MAX_ARANGE = 2**20  # numbers along an axis
MAX_TABLE_NUMBERS = 2**22  # of values, formula and arange, in total

# Overrides
MAX_OVERRIDES = 1000
MAX_PATTERN_LENGTH = 100
MAX_COMPARISONS = 5_000_000  # of patterns with names of tensors
SEARCH_COMPARISONS = 20  # cost of a wildcard piece (with ? or []) between two *, relative to a literal one

# Reports
MAX_DIAGNOSTICS = 1000  # checking stops here
