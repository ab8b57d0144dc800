"""What numpy raises for a file that holds no arrays that it can read, beside what the system raises (OSError).

Its reader of headers uses Python's tokenizer, which has errors of its own; archives of arrays add those of zip files.
"""

import tokenize
import zipfile
import zlib

NO_ARRAYS = (
    *(ValueError, TypeError, LookupError, EOFError, MemoryError, RuntimeError, NotImplementedError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
