"""Names, rules, life cycles, recognition. Pure: no clock, no net, no disk, no logging."""
