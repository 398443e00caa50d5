# Reads reports with Sisimai: what is found must be what was meant. Usage: reports.pl expected.json
use strict;
use warnings;
use JSON::PP;
use Sisimai;

open(my $file, '<:raw', $ARGV[0]) or die "$ARGV[0]: $!";
my $cases = decode_json(do { local $/; <$file> });
my ($right, $asked) = (0, 0);
for my $case (@$cases) {
    # Sisimai reads addresses in US-ASCII only.
    next if grep { ($_->{final} . ($_->{original} // '')) =~ /[^\x00-\x7f]/ } @{ $case->{recipients} };
    $asked++;
    my $found = Sisimai->make($case->{file}, 'delivered' => 1) // [];
    my @found = sort map { join ' ', lc $_->recipient->address, $_->action, $_->deliverystatus } @$found;
    # It takes the status in a server's words for more exact than the field.
    my @meant = sort map {
        join ' ', lc($_->{final}), $_->{action}, defined $_->{code} ? $_->{said} : $_->{status}
    } @{ $case->{recipients} };
    if ("@found" eq "@meant") {
        $right++;
    } else {
        print STDERR "$case->{name}: found [@found], meant [@meant]\n";
    }
}
print "$right of $asked reports read as they were meant\n";
exit($right != $asked);
