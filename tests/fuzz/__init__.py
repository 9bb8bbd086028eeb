"""Files and answers that were changed at random: whatever is in them, nothing ends in a traceback, writes elsewhere or
takes all memory."""
