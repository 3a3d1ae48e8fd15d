// Go's pkg/sftp. Prints `PASS name` or `FAIL name: why` for each check.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

var (
	remote = os.Getenv("SFTP_REMOTE")
	local  = os.Getenv("SFTP_LOCAL")
)

func check(name string, work func() error) {
	if err := work(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Println("PASS", name)
}

func that(right bool, format string, values ...any) error {
	if right {
		return nil
	}
	return fmt.Errorf(format, values...)
}

func complete(info fs.FileInfo) error {
	if info.Mode()&0o700 == 0 || info.ModTime().Year() < 2000 {
		return fmt.Errorf("mode %s, time %s", info.Mode(), info.ModTime())
	}
	return nil
}

func connect(method ssh.AuthMethod) (*sftp.Client, error) {
	known, err := knownhosts.New(os.Getenv("SFTP_KNOWN_HOSTS"))
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(os.Getenv("SFTP_HOST"), os.Getenv("SFTP_PORT"))
	connection, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: os.Getenv("SFTP_USER"), Auth: []ssh.AuthMethod{method}, HostKeyCallback: known, Timeout: 20 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return sftp.NewClient(connection)
}

// certified is the key with the certificate that SFTP_CERTIFICATE names, if it names one.
func certified(key ssh.Signer) (ssh.Signer, error) {
	file := os.Getenv("SFTP_CERTIFICATE")
	if file == "" {
		return key, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	certificate, isOne := public.(*ssh.Certificate)
	if !isOne {
		return nil, fmt.Errorf("%s is no certificate", file)
	}
	return ssh.NewCertSigner(certificate, key)
}

func names(client *sftp.Client, directory string) ([]string, error) {
	entries, err := client.ReadDir(directory)
	found := []string{}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	slices.Sort(found)
	return found, err
}

func holds(client *sftp.Client, path string, wanted []byte) error {
	file, err := client.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	got := new(bytes.Buffer)
	if _, err := file.WriteTo(got); err != nil {
		return err
	}
	return that(bytes.Equal(got.Bytes(), wanted), "%s has %d other bytes", path, got.Len())
}

func put(client *sftp.Client, path string, content []byte, flags int) error {
	file, err := client.OpenFile(path, flags)
	if err != nil {
		return err
	}
	if _, err := file.ReadFrom(bytes.NewReader(content)); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func main() {
	check("login-password", func() error {
		client, err := connect(ssh.Password(os.Getenv("SFTP_PASSWORD")))
		if err != nil {
			return err
		}
		_, err = client.ReadDir(remote)
		return errors.Join(err, client.Close())
	})
	check("login-keyboard-interactive", func() error {
		answer := func(_, _ string, questions []string, _ []bool) ([]string, error) {
			return slices.Repeat([]string{os.Getenv("SFTP_PASSWORD")}, len(questions)), nil
		}
		client, err := connect(ssh.KeyboardInteractive(answer))
		if err != nil {
			return err
		}
		return client.Close()
	})
	check("login-key", func() error {
		text, err := os.ReadFile(os.Getenv("SFTP_KEY"))
		if err != nil {
			return err
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return err
		}
		if key, err = certified(key); err != nil {
			return err
		}
		client, err := connect(ssh.PublicKeys(key))
		if err != nil {
			return err
		}
		rest(client)
		return client.Close()
	})
}

func rest(client *sftp.Client) {
	small, _ := os.ReadFile(local + "/small")
	large, _ := os.ReadFile(local + "/large")
	a, c := remote+"/a", remote+"/a/b/c"
	fresh := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	check("list", func() error {
		found, err := names(client, remote)
		return errors.Join(err, that(slices.Equal(found, []string{"seed.txt", "seeded"}), "%s", found))
	})
	check("stat-file", func() error {
		info, err := client.Stat(remote + "/seed.txt")
		if err != nil {
			return err
		}
		return errors.Join(complete(info), that(info.Size() == 4 && info.Mode().IsRegular(), "%d %s", info.Size(), info.Mode()))
	})
	check("stat-directory", func() error {
		info, err := client.Stat(remote + "/seeded")
		if err != nil {
			return err
		}
		return errors.Join(complete(info), that(info.IsDir(), "%s", info.Mode()))
	})
	check("mkdir-nested", func() error {
		if err := client.MkdirAll(c); err != nil {
			return err
		}
		found, err := names(client, a+"/b")
		return errors.Join(err, that(slices.Equal(found, []string{"c"}), "%s", found))
	})
	check("put-small", func() error { return put(client, a+"/small", small, fresh) })
	check("put-large", func() error { return put(client, c+"/large", large, fresh) })
	check("get-small", func() error { return holds(client, a+"/small", small) })
	check("get-large", func() error { return holds(client, c+"/large", large) })
	check("append", func() error {
		err := put(client, a+"/small", []byte("more"), os.O_WRONLY|os.O_APPEND)
		return errors.Join(err, holds(client, a+"/small", append(slices.Clone(small), "more"...)))
	})
	check("rename", func() error {
		if err := client.Rename(a+"/small", a+"/renamed"); err != nil {
			return err
		}
		_, err := client.Stat(a + "/small")
		return that(errors.Is(err, fs.ErrNotExist), "the old name: %v", err)
	})
	check("rename-overwrite", func() error {
		if err := put(client, a+"/new", small, fresh); err != nil {
			return err
		}
		return errors.Join(client.PosixRename(a+"/new", a+"/renamed"), holds(client, a+"/renamed", small))
	})
	check("walk", func() error {
		found := map[string]bool{}
		for walker := client.Walk(remote); walker.Step(); {
			if walker.Err() != nil {
				return walker.Err()
			}
			found[strings.TrimPrefix(walker.Path(), remote+"/")] = true
		}
		for _, name := range []string{"seed.txt", "seeded/inner.txt", "a/renamed", "a/b/c/large"} {
			if !found[name] {
				return fmt.Errorf("%s was not found", name)
			}
		}
		return nil
	})
	check("missing", func() error {
		_, err := client.Open(remote + "/missing")
		return that(errors.Is(err, fs.ErrNotExist), "%v", err)
	})
	check("times", func() error {
		then := time.Unix(1577836800, 0)
		if err := client.Chtimes(a+"/renamed", then, then); err != nil {
			return err
		}
		info, err := client.Stat(a + "/renamed")
		return errors.Join(err, that(err == nil && info.ModTime().Equal(then), "another time"))
	})
	check("remove", func() error {
		if err := client.Remove(a + "/renamed"); err != nil {
			return err
		}
		found, err := names(client, a)
		return errors.Join(err, that(slices.Equal(found, []string{"b"}), "%s", found))
	})
	check("rmdir", func() error {
		if err := errors.Join(client.Rename(c+"/large", remote+"/kept"), client.RemoveAll(a)); err != nil {
			return err
		}
		found, err := names(client, remote)
		return errors.Join(err, that(slices.Equal(found, []string{"kept", "seed.txt", "seeded"}), "%s", found))
	})
}
