# Net::SFTP::Foreign, which starts OpenSSH's ssh. Prints `PASS name` or `FAIL name: why` for each check.
use strict;
use warnings;
use Fcntl ':mode';
use Net::SFTP::Foreign;
use Net::SFTP::Foreign::Constants qw(:error :status :flags);

my ($remote, $local) = @ENV{qw(SFTP_REMOTE SFTP_LOCAL)};
$| = 1;

sub check {
    my ($name, $work) = @_;
    if (eval { $work->(); 1 }) { print "PASS $name\n"; return }
    my $why = $@;
    $why =~ s/\s+/ /g;
    print "FAIL $name: $why\n";
}

sub equal {
    my ($got, $wanted) = @_;
    $got //= 'nothing';
    die substr($got, 0, 300) . ' where ' . substr($wanted, 0, 300) . " is right\n" if $got ne $wanted;
}

sub complete {
    my ($attributes) = @_;
    die "no permissions\n" unless ($attributes->perm // 0) & 0700;
    die 'a time before 2000: ' . ($attributes->mtime // 'none') . "\n" if ($attributes->mtime // 0) < 946_684_800;
}

sub connected {
    my ($identity, %more) = @_;
    my $sftp = Net::SFTP::Foreign->new(
        $ENV{SFTP_HOST},
        user => $ENV{SFTP_USER},
        port => $ENV{SFTP_PORT},
        timeout => 60,
        more => [
            '-F', 'none',
            map({ ('-o', $_) }
                "UserKnownHostsFile=$ENV{SFTP_KNOWN_HOSTS}", 'StrictHostKeyChecking=yes',
                'IdentityAgent=none', 'LogLevel=ERROR', @$identity),
        ],
        %more,
    );
    $sftp->die_on_error('no connection');
    return $sftp;
}

sub contents {
    open my $file, '<:raw', shift or die $!;
    local $/;
    return scalar <$file>;
}

sub names {
    my ($sftp, $directory) = @_;
    return join ' ', sort @{$sftp->ls($directory, names_only => 1, no_wanted => qr/^\.{1,2}$/)};
}

check('login-key', sub {
    my $sftp = connected(["IdentityFile=$ENV{SFTP_KEY}", 'IdentitiesOnly=yes', 'BatchMode=yes'], autodie => 1);
    my $top = "$remote/a";
    my $gets = sub {
        my ($from, $like) = @_;
        $sftp->get($from, "$local/got", copy_perm => 0);
        die "$from came back changed\n" if contents("$local/got") ne contents("$local/$like");
    };
    check('list', sub { equal(names($sftp, $remote), 'seed.txt seeded') });
    check('stat-file', sub {
        my $attributes = $sftp->stat("$remote/seed.txt");
        equal($attributes->size, 4);
        equal(S_ISREG($attributes->perm) ? 'file' : 'no file', 'file');
        complete($attributes);
    });
    check('stat-directory', sub {
        my $attributes = $sftp->stat("$remote/seeded");
        equal(S_ISDIR($attributes->perm) ? 'directory' : 'none', 'directory');
        complete($attributes);
    });
    check('mkdir-nested', sub { $sftp->mkpath("$top/b/c"); equal(names($sftp, "$top/b"), 'c') });
    # as it is by default: permissions and times are copied after the bytes
    check('put-small', sub {
        $sftp->put("$local/small", "$top/small");
        equal($sftp->stat("$top/small")->size, -s "$local/small");
    });
    check('put-large', sub {
        $sftp->put("$local/large", "$top/b/c/large");
        equal($sftp->stat("$top/b/c/large")->size, -s "$local/large");
    });
    check('get-small', sub { $gets->("$top/small", 'small') });
    check('get-large', sub { $gets->("$top/b/c/large", 'large') });
    check('append', sub {
        open my $more, '>', "$local/more" or die $!;
        print $more 'more';
        close $more;
        $sftp->put("$local/more", "$top/small", append => 1);
        equal($sftp->get_content("$top/small") eq contents("$local/small") . 'more' ? 'appended' : 'changed', 'appended');
    });
    check('resume', sub {
        open my $begun, '>:raw', "$local/begun" or die $!;
        print $begun substr(contents("$local/large"), 0, 3_000_000);
        close $begun;
        $sftp->put("$local/begun", "$top/part");
        $sftp->put("$local/large", "$top/part", resume => 1);
        $gets->("$top/part", 'large');
    });
    check('rename', sub {
        $sftp->rename("$top/small", "$top/renamed");
        equal($sftp->test_e("$top/small") ? 'there' : 'gone', 'gone');
    });
    check('rename-overwrite', sub {
        $sftp->put("$local/small", "$top/new");
        $sftp->rename("$top/new", "$top/renamed", overwrite => 1);
        $gets->("$top/renamed", 'small');
    });
    check('put-by-temporary-name', sub {
        $sftp->put("$local/small", "$top/renamed", atomic => 1);
        equal(names($sftp, $top), 'b part renamed');
    });
    check('walk', sub {
        my %found = map { $_->{filename} => 1 } $sftp->find($remote);
        for my $name (qw(seed.txt seeded/inner.txt a/renamed a/b/c/large)) {
            die "$name was not found\n" unless $found{"$remote/$name"};
        }
    });
    check('tree', sub {
        $sftp->rget($remote, "$local/tree", copy_perm => 0);
        equal(contents("$local/tree/seeded/inner.txt"), 'inner');
    });
    check('missing', sub {
        die "a file that is not there was downloaded\n" if eval { $sftp->get("$remote/missing", "$local/got"); 1 };
        equal($sftp->status + 0, SSH2_FX_NO_SUCH_FILE);
    });
    check('times', sub {
        $sftp->utime("$top/renamed", 1_577_836_800, 1_577_836_800);
        equal($sftp->stat("$top/renamed")->mtime, 1_577_836_800);
    });
    check('remove', sub { $sftp->remove("$top/$_") for qw(renamed part); equal(names($sftp, $top), 'b') });
    check('rmdir', sub {
        $sftp->rename("$top/b/c/large", "$remote/kept");
        $sftp->rremove($top);
        equal(names($sftp, $remote), 'kept seed.txt seeded');
    });
});
