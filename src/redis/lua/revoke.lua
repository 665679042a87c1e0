
-- Id, moment, reason.
if not can_end(ARGV[2]) then return 0 end
tell(ARGV[2])
mark(ARGV[2], ARGV[3], ARGV[4])
return 1
