// Command example starts the examples of this folder, which need only Go's standard library:
//
//	go run . mint USER TRANSACTION      prints a token
//	go run . keys                       prints the key set that verifies it
//	go run . verdict                    verifies verdicts, one in each line
//	go run . evidence|backend|stream    serves at 127.0.0.1:PORT
//
// It reads all variables, so that the other files get values and no environment.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		log.Fatal("name an example")
	}
	switch os.Args[1] {
	case "mint":
		if len(os.Args) != 4 {
			log.Fatal("name a user and a transaction")
		}
		token, err := minter().Mint(os.Args[2], os.Args[3])
		fatal(err)
		fmt.Println(token)
	case "keys":
		fatal(json.NewEncoder(os.Stdout).Encode(minter().KeySet()))
	case "verdict":
		verdicts(checker())
	case "evidence":
		serve(receiver())
	case "backend":
		serve(NewBackend(minter(), checker(), receiver(), logins()))
	case "stream":
		gateway := os.Getenv("GATEWAY_URL")
		if gateway == "" {
			gateway = "http://127.0.0.1:8080"
		}
		handler, err := NewForwarder(gateway, minter(), logins())
		fatal(err)
		serve(handler)
	default:
		log.Fatal("no example is called ", os.Args[1])
	}
}

func minter() *Minter {
	minter := &Minter{Issuer: os.Getenv("TOKEN_ISSUER"), Audience: os.Getenv("TOKEN_AUDIENCE")}
	if secret := os.Getenv("TOKEN_SECRET"); secret != "" {
		minter.Secret = []byte(secret)
		return minter
	}
	pem, err := os.ReadFile(os.Getenv("TOKEN_KEY_FILE"))
	fatal(err)
	fatal(minter.ReadKey(pem))
	return minter
}

func checker() *Checker {
	return &Checker{
		URL:      os.Getenv("JWKS_URL"),
		Issuer:   os.Getenv("ISSUER"),
		Audience: os.Getenv("AUDIENCE"),
		used:     map[string]int64{},
	}
}

func receiver() *Receiver {
	receiver, err := NewReceiver(os.Getenv("EVIDENCE_SECRET"))
	fatal(err)
	return receiver
}

func logins() map[string]string {
	logins := map[string]string{}
	fatal(json.Unmarshal([]byte(os.Getenv("LOGINS")), &logins))
	return logins
}

// verdicts reads verdicts from standard input, and prints the result of each.
func verdicts(checker *Checker) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verdict := strings.TrimSpace(lines.Text())
		claims, err := checker.Accept(verdict, os.Getenv("USER_ISSUER"), os.Getenv("USER_ID"), os.Getenv("NONCE"))
		if err != nil {
			fmt.Println("refused:", err)
			continue
		}
		fmt.Println("accepted", claims.ID)
	}
}

func serve(handler http.Handler) {
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	fatal(err)
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	// Five minutes are the longest that the gateway gives an upload.
	server := http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute}
	log.Fatal(server.Serve(listener))
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
