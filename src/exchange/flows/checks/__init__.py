"""逢办必查、触发留痕、奖惩到位: checks, their traces, and the measures that apply."""
