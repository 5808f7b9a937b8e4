package app

import (
	"context"
	"sync"
)

// QuestionKind is what a [Question] is about.
type QuestionKind string

const (
	// AskPassword wants the password for a site (and the account, where [Question.Account] says so).
	AskPassword QuestionKind = "password"
	// AskMaster wants the master password of the vault.
	AskMaster QuestionKind = "master"
	// AskNewMaster wants a master password for a vault that is to be made.
	AskNewMaster QuestionKind = "new master"
	// AskClear wants to know whether a password may go out in clear.
	AskClear QuestionKind = "clear"
)

// Question is something that must be known before work can go on, beside certificates and files that are there already. One
// is asked at a time. Answer must be called once; a question whose work was cancelled is taken back by itself.
type Question struct {
	Kind    QuestionKind
	Site    string // the name of the site or the host
	Host    string
	User    string
	Account bool   // an account is wanted, too
	Problem string // why it is asked again; empty: it is the first time
	Answer  func(Reply)
}

// Reply is a person's answer.
type Reply struct {
	OK       bool // false: cancelled, or no
	Password string
	Account  string
	Keep     bool // keep the password, or the consent
}

type questions struct {
	turn chan struct{}
	mu   sync.Mutex
	now  *Question
}

// Question returns what waits for an answer, or nil.
func (a *App) Question() *Question {
	a.questions.mu.Lock()
	defer a.questions.mu.Unlock()
	return a.questions.now
}

// ask waits for the person's answer. With a check the question stands while that looks at the answer, and is asked again when
// it finds a problem: a question that went away meanwhile would let the next try go to whatever is below it.
func (a *App) ask(ctx context.Context, q Question, check func(Reply) (problem string, err error)) (Reply, error) {
	select {
	case a.questions.turn <- struct{}{}:
	case <-ctx.Done():
		return Reply{}, context.Cause(ctx)
	}
	defer func() { <-a.questions.turn }()
	show := func(q *Question) {
		a.questions.mu.Lock()
		a.questions.now = q
		a.questions.mu.Unlock()
		a.changed()
	}
	defer show(nil)
	for {
		answer := make(chan Reply, 1)
		one := q
		one.Answer = func(r Reply) {
			select {
			case answer <- r:
			default: // answered already
			}
		}
		show(&one)
		select {
		case r := <-answer:
			if check == nil || !r.OK {
				return r, nil
			}
			problem, err := check(r)
			if err != nil || problem == "" {
				return r, err
			}
			q.Problem = problem
		case <-ctx.Done():
			return Reply{}, context.Cause(ctx)
		}
	}
}
