<?php
// phpseclib: 2 or 3, told by the argument. Prints `PASS name` or `FAIL name: why` for each check.

[$remote, $local] = [getenv('SFTP_REMOTE'), getenv('SFTP_LOCAL')];
$three = $argv[1] === '3';
require $three ? 'phpseclib3/autoload.php' : 'phpseclib/autoload.php';
$class = $three ? 'phpseclib3\Net\SFTP' : 'phpseclib\Net\SFTP';

function check(string $name, callable $work): void
{
    try {
        $work();
        echo "PASS $name\n";
    } catch (Throwable $error) {
        echo "FAIL $name: ", str_replace("\n", ' ', $error->getMessage()), "\n";
    }
}

function equal(mixed $got, mixed $wanted): void
{
    if ($got !== $wanted) {
        throw new Exception(substr(var_export($got, true), 0, 300) . ' where ' . substr(var_export($wanted, true), 0, 300) . ' is right');
    }
}

function complete(array $attributes): void
{
    global $three;
    if (!(($attributes[$three ? 'mode' : 'permissions'] ?? 0) & 0700)) {
        throw new Exception('no permissions');
    }
    if (($attributes['mtime'] ?? 0) < 946684800) {
        throw new Exception('a time before 2000: ' . ($attributes['mtime'] ?? 'none'));
    }
}

function connected(mixed $secret): object
{
    global $class;
    $sftp = new $class(getenv('SFTP_HOST'), (int) getenv('SFTP_PORT'), 20);
    $key = explode(' ', $sftp->getServerPublicHostKey())[1];
    if (!str_contains(file_get_contents(getenv('SFTP_KNOWN_HOSTS')), " $key")) {
        throw new Exception('an unknown host key');
    }
    if (!$sftp->login(getenv('SFTP_USER'), $secret)) {
        throw new Exception('login refused: ' . implode('; ', $sftp->getErrors()));
    }
    return $sftp;
}

function names(object $sftp, string $directory): array
{
    $names = $sftp->nlist($directory);
    if ($names === false) {
        throw new Exception('no listing: ' . $sftp->getLastSFTPError());
    }
    $names = array_values(array_diff($names, ['.', '..']));
    sort($names);
    return $names;
}

function gets(object $sftp, string $from, string $like): void
{
    global $local;
    equal($sftp->get($from, "$local/got"), true);
    equal(md5_file("$local/got"), md5_file("$local/$like"));
}

check('login-password', function () use ($remote) {
    names(connected(getenv('SFTP_PASSWORD')), $remote);
});

check('login-key', function () use ($remote, $local, $three, $class) {
    $text = file_get_contents(getenv('SFTP_KEY'));
    if ($three) {
        $key = phpseclib3\Crypt\PublicKeyLoader::load($text);
    } else {
        $key = new phpseclib\Crypt\RSA();
        $key->loadKey($text);
    }
    $sftp = connected($key);
    $top = "$remote/a";
    check('list', fn () => equal(names($sftp, $remote), ['seed.txt', 'seeded']));
    check('stat-file', function () use ($sftp, $remote) {
        $attributes = $sftp->stat("$remote/seed.txt");
        equal([$attributes['size'], $sftp->is_file("$remote/seed.txt")], [4, true]);
        complete($attributes);
    });
    check('stat-directory', function () use ($sftp, $remote) {
        equal($sftp->is_dir("$remote/seeded"), true);
        complete($sftp->stat("$remote/seeded"));
    });
    check('mkdir-nested', function () use ($sftp, $top) {
        equal($sftp->mkdir("$top/b/c", -1, true), true);
        equal(names($sftp, "$top/b"), ['c']);
    });
    check('put-small', function () use ($sftp, $top, $local, $class) {
        equal($sftp->put("$top/small", "$local/small", $class::SOURCE_LOCAL_FILE), true);
        equal($sftp->filesize("$top/small"), filesize("$local/small"));
    });
    check('put-large', function () use ($sftp, $top, $local, $class) {
        equal($sftp->put("$top/b/c/large", "$local/large", $class::SOURCE_LOCAL_FILE), true);
        equal($sftp->filesize("$top/b/c/large"), filesize("$local/large"));
    });
    check('get-small', fn () => gets($sftp, "$top/small", 'small'));
    check('get-large', fn () => gets($sftp, "$top/b/c/large", 'large'));
    check('append', function () use ($sftp, $top, $local, $class) {
        equal($sftp->put("$top/small", 'more', $class::SOURCE_STRING | $class::RESUME), true);
        equal($sftp->get("$top/small"), file_get_contents("$local/small") . 'more');
    });
    check('resume', function () use ($sftp, $top, $local, $class) {
        equal($sftp->put("$top/part", substr(file_get_contents("$local/large"), 0, 3000000)), true);
        equal($sftp->put("$top/part", "$local/large", $class::SOURCE_LOCAL_FILE | $class::RESUME_START), true);
        gets($sftp, "$top/part", 'large');
    });
    check('rename', function () use ($sftp, $top) {
        equal($sftp->rename("$top/small", "$top/renamed"), true);
        equal([$sftp->file_exists("$top/small"), $sftp->file_exists("$top/renamed")], [false, true]);
    });
    check('writable', function () use ($sftp, $top) {
        // opens the file for reading and writing, and version 2 never closes it
        equal([$sftp->is_readable("$top/renamed"), $sftp->is_writable("$top/renamed")], [true, true]);
        equal($sftp->rename("$top/renamed", "$top/again"), true);
        equal($sftp->rename("$top/again", "$top/renamed"), true);
    });
    check('walk', function () use ($sftp, $remote) {
        $found = $sftp->nlist($remote, true);
        foreach (['seed.txt', 'seeded/inner.txt', 'a/renamed', 'a/b/c/large'] as $name) {
            equal(in_array($name, $found, true) ? $name : implode(' ', $found), $name);
        }
    });
    check('missing', function () use ($sftp, $remote) {
        equal([$sftp->file_exists("$remote/missing"), $sftp->get("$remote/missing")], [false, false]);
        equal(str_starts_with($sftp->getLastSFTPError(), 'NET_SFTP_STATUS_NO_SUCH_FILE') ? 'so' : $sftp->getLastSFTPError(), 'so');
    });
    check('times', function () use ($sftp, $top) {
        equal($sftp->touch("$top/renamed", 1577836800, 1577836800), true);
        $sftp->clearStatCache();
        equal($sftp->filemtime("$top/renamed"), 1577836800);
    });
    check('remove', function () use ($sftp, $top) {
        equal($sftp->delete("$top/renamed", false), true);
        equal($sftp->file_exists("$top/renamed"), false);
    });
    check('rmdir', function () use ($sftp, $top, $remote) {
        equal($sftp->rename("$top/b/c/large", "$remote/kept"), true);
        equal($sftp->delete($top, true), true); // with all that is in it
        equal(names($sftp, $remote), ['kept', 'seed.txt', 'seeded']);
    });
});
