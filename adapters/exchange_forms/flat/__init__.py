"""Forms of the smaller kinds: rows of a document ⇄ one record, driven by one table file for each kind and side.

What is the same on all sides stands here, what a side calls it stands in its ``tables/<kind>.toml``. To add a kind:

1. Describe it in :mod:`exchange_forms.flat.kinds`: a :class:`FlatKind` made of parts, one for each column (``Text``,
   ``Day``, ``Choice`` …) or group of columns (``Subject``, ``Reference`` …). ``Items`` is a list whose items have a row
   each; rows of one record are joined by the columns in ``joined_by``, and what is said once must not be said otherwise
   further down (``ROWS_DIFFER``).
2. Write each side's table file, named by the body's field as in ``repair_notice.toml``: ``edition``, ``source``,
   ``status`` (say there what is invented), ``sheet``, ``notes``, ``column``, ``[[words.<column>]]`` for each closed
   list, and ``[sharing]``. A side without the file has no form of that kind. Headings have to tell the kinds apart: a
   column of ``found_by`` should have a heading that no other form has.
3. Add rows to the samples (:mod:`exchange_forms.made.cases`) with what must come out of each; the laws of adapters and
   the property test of the round trip (``tests/adapters/regions/test_flat.py``) then hold the kind.

Where a kind needs code of its own, it is a part: subclass :class:`~exchange_forms.flat.part.Part`, or ``Field`` for one
column, and list it among the parts. It may look at the whole record (details that depend on a kind of event), read
every row (``row.rows``, ``row.item(...)``) and write rows (``write_rows``). Nothing else in the engine knows of kinds;
:mod:`exchange_forms.flat.alerts` has an example of each.

Overlays may add to every list: ``heading.<kind>`` (value: the column) and ``<kind>.<column>`` (value: the meaning).
"""
