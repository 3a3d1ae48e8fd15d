package main
import (
 _ "github.com/pkg/sftp"
 _ "golang.org/x/crypto/ssh"
 _ "golang.org/x/crypto/ssh/knownhosts"
)
func main(){}
