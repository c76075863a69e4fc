"""`field__prefix=…`: begins with, by the operator ^@.

LIKE is not leakproof, so beside a row policy it never uses the index (13 ms
against 0.035 ms on 200,000 rows). ^@ is, on a column with collation "C"
(design/database.md, "What an index can use under RLS").
"""

from django.db.models import CharField, Lookup, TextField


@CharField.register_lookup
@TextField.register_lookup
class Prefix(Lookup):
    lookup_name = "prefix"

    def as_sql(self, compiler, connection):
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} ^@ {right}", [*left_params, *right_params]
